export const fake = "10.0.0.1";
