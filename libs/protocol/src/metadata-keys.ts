/** The metadata key of the request id that a server writes to its log and returns with an error. */
export const REQUEST_ID_KEY = "paddock-request-id";

/** The metadata key of the generation of a sandbox's placement, on streams between api and node: a decimal number. */
export const GENERATION_KEY = "paddock-generation";
