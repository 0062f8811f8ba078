export const locateSandbox = 1;
