const MAX_NAME_CHARACTERS = 255;

/** Whether a guest's text can be the name of a file in a directory: a client may create a file of that name. */
export const isFileName = (name: string): boolean =>
  name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name) && name.length <= MAX_NAME_CHARACTERS;
