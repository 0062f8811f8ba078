export const dial = "dial";
