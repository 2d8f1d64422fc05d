/** Numbers and dates as people read them. */

/** "1 picture", "3 pictures". */
export function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`
}

/** 0.426 -> "43%". */
export function percent(fraction) {
  return `${Math.round(Math.min(1, Math.max(0, fraction)) * 100)}%`
}

/** Seconds -> "9 s", "1 min 5 s", "2 h 3 min". */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${whole / 60} min`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

/** The last part of a path, without the ending of a model file. */
export function modelName(path) {
  return String(path)
    .split("/")
    .pop()
    .replace(/\.(safetensors|sft|gguf|ckpt)$/i, "")
}
