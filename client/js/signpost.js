// Signpost for browsers.
export const version = "0";
