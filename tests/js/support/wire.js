/** Small true-to-the-wire things to test with. */

import { Memory } from "../../../static/js/lib/storage.js"

const PARAM = {
  description: "",
  type: "text",
  subtype: null,
  default: "",
  min: 0,
  max: 0,
  view_min: 0,
  view_max: 0,
  step: 1,
  values: null,
  value_names: null,
  examples: null,
  visible: true,
  advanced: false,
  feature_flag: null,
  toggleable: false,
  priority: 10,
  group: null,
  always_retain: false,
  do_not_save: false,
  do_not_preview: false,
  view_type: "small",
  extra_hidden: false,
  can_sectionalize: false,
  nonreusable: false,
  depend_non_default: null,
}

export function param(id, more = {}) {
  return { ...PARAM, name: id, id, ...more }
}

export function group(id, more = {}) {
  return {
    name: id,
    id,
    toggles: false,
    open: false,
    priority: 0,
    description: "",
    advanced: false,
    can_shrink: true,
    parent: null,
    ...more,
  }
}

/** A memory that lasts as long as the test. */
export function freshMemory(content = {}) {
  const kept = new Map(Object.entries(content).map(([name, value]) => [`swarm.${name}`, JSON.stringify(value)]))
  return new Memory({
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => kept.set(name, value),
    removeItem: (name) => kept.delete(name),
  })
}

/** The parameters every server declares, as far as the tests need them. */
export const DECLARED = {
  list: [
    param("prompt", { view_type: "prompt", visible: false, priority: -100 }),
    param("negativeprompt", { view_type: "prompt", visible: false, priority: -90 }),
    param("images", { type: "integer", default: "1", min: 1, max: 10000, group: "core", always_retain: true }),
    param("seed", { type: "integer", default: "-1", min: -1, max: 9.2e18, view_type: "seed", group: "core" }),
    param("steps", { type: "integer", default: "20", max: 500, group: "core" }),
    param("aspectratio", { type: "dropdown", default: "1:1", values: ["1:1", "16:9", "Custom"], group: "resolution" }),
    param("width", { type: "integer", default: "512", min: 64, max: 16384, group: "resolution" }),
    param("height", { type: "integer", default: "512", min: 64, max: 16384, group: "resolution" }),
    param("sidelength", {
      type: "integer",
      default: "1024",
      min: 64,
      max: 16384,
      toggleable: true,
      group: "resolution",
    }),
    param("sampler", {
      type: "dropdown",
      default: "euler",
      values: ["euler", "heun"],
      toggleable: true,
      feature_flag: "comfyui",
    }),
    param("initimage", { type: "image", default: null, group: "init" }),
    param("maskimage", { type: "image", default: null, group: "init" }),
    param("promptimages", { type: "image_list", visible: false, advanced: true }),
    param("creativity", { type: "decimal", default: "0.6", max: 1, group: "init" }),
    param("donotsave", { type: "boolean", default: "false", advanced: true, always_retain: true }),
    param("model", { type: "model", subtype: "Stable-Diffusion", visible: false }),
  ],
  groups: [group("core"), group("resolution"), group("init", { toggles: true })],
}
