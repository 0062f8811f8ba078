export const table = ["row"];
