export const askNode = 1;
