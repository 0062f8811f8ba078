export const attach = "attach";
