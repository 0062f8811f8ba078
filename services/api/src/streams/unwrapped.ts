/** The public responses in a node's responses. `failure` says what a failed call to the node is for the client. */
export async function* unwrapped<T>(
  responses: AsyncIterable<{ readonly response?: T | undefined }>,
  failure: (error: unknown) => unknown,
): AsyncGenerator<T> {
  try {
    for await (const { response } of responses) if (response !== undefined) yield response;
  } catch (error) {
    throw failure(error);
  }
}
