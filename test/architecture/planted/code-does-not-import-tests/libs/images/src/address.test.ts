export const fixture = "10.0.0.1";
