export const openClient = "open";
