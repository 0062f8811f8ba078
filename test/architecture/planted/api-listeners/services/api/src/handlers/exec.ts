export const exec = 1;
