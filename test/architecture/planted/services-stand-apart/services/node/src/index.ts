export const daemon = "node";
