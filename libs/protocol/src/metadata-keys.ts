/** The metadata key of the request id that a server writes to its log and returns with an error. */
export const REQUEST_ID_KEY = "paddock-request-id";
