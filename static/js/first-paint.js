// Not a module, on purpose: it runs before the first paint, so a remembered theme does not flash the other one.
try {
  const theme = JSON.parse(localStorage.getItem("swarm.theme"))
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme
} catch {
  // Storage is refused: the system's theme is used.
}
