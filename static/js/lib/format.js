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

/** 23622320128 -> "22 GiB", 1536 -> "1.5 KiB". */
export function bytes(number) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
  const step = Math.min(units.length - 1, number > 0 ? Math.floor(Math.log2(number) / 10) : 0)
  const value = number / 1024 ** step
  return `${value < 10 && step > 0 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${units[step]}`
}
