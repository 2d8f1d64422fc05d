/** The pages outside: logging in and making an account. They need no session and share nothing with the main page. */

import "./components/entry-form.js"
