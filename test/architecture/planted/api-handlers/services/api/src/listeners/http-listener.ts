export const httpListener = 1;
