export const askEveryNode = 1;
