export const decide = "accept";
