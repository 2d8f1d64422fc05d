/**
 * Shapes that cross the wire, for editors. Nothing here runs.
 *
 * @typedef {object} Param
 * @property {string} name
 * @property {string} id
 * @property {string} description
 * @property {"text"|"integer"|"decimal"|"boolean"|"dropdown"|"image"|"model"|"list"|"image_list"} type
 * @property {string|null} subtype
 * @property {string|null} default  always text; null for pictures
 * @property {number} min
 * @property {number} max           min = max = 0 means no limit
 * @property {number} view_min
 * @property {number} view_max
 * @property {number} step
 * @property {string[]|null} values
 * @property {string[]|null} value_names
 * @property {string[]|null} examples
 * @property {boolean} visible
 * @property {boolean} advanced
 * @property {string|null} feature_flag  several are separated by commas
 * @property {boolean} toggleable
 * @property {number} priority
 * @property {string|null} group
 * @property {boolean} always_retain
 * @property {"normal"|"prompt"|"small"|"big"|"slider"|"pot_slider"|"seed"|"video_frames"} view_type
 * @property {boolean} nonreusable
 * @property {string|null} depend_non_default
 *
 * @typedef {object} Group
 * @property {string} name
 * @property {string} id
 * @property {boolean} toggles
 * @property {boolean} open
 * @property {number} priority
 * @property {string} description
 * @property {boolean} advanced
 * @property {string|null} parent
 *
 * @typedef {object} Status
 * @property {{waiting_gens: number, loading_models: number, waiting_backends: number, live_gens: number}} status
 * @property {{status: string, class: ""|"soft"|"warn"|"error", message: string, any_loading: boolean}} backend_status
 * @property {string[]} supported_features
 *
 * @typedef {object} Picture  one picture of a batch or of the history
 * @property {string} key
 * @property {string|null} url       null while it is being made
 * @property {string|null} preview   a small picture to show meanwhile
 * @property {string|null} path      inside the user's output folder; null when it was not saved
 * @property {string|null} metadata
 * @property {boolean} starred
 * @property {"final"|"intermediate"|"sheet"} [role]  only of pictures that were just made
 */
export {}
