/** A sandbox id made to fit a DNS label: letters, digits and dashes, at most 63, neither end a dash. */
export function guestHostname(sandboxId: string): string {
  const fitted = sandboxId
    .replaceAll(/[^a-zA-Z0-9-]/g, "-")
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, "");
  return fitted === "" ? "sandbox" : fitted;
}
