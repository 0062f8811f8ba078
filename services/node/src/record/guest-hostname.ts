/** Converts a sandbox id to a DNS label: letters, digits and dashes, at most 63, no dash at either end. */
export function guestHostname(sandboxId: string): string {
  const fitted = sandboxId
    .replaceAll(/[^a-zA-Z0-9-]/g, "-")
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, "");
  return fitted === "" ? "sandbox" : fitted;
}
