/**
 * Settings of a service, by environment variable.
 *
 * Each setting is declared once: its meaning, the form of its text, its unit and its default. The service parses values by the
 * declaration, and the README's table and `--help` are generated from it. An unknown name or an invalid text is refused: a
 * misspelt setting must not become a default.
 */
import { OperatorError } from "./operator-error.ts";

/** Settings that the operator has to correct. */
export class ConfigError extends OperatorError {
  override readonly name = "ConfigError";
}

/** The texts that a setting takes. */
export type Form<T> = {
  /** Completes "is not ...": "an absolute path". */
  readonly form: string;
  /** The value of a text; undefined if the text does not have the form. */
  readonly parse: (text: string) => T | undefined;
};

export type Setting<T> = Form<T> & {
  /** What the setting decides. A cell of the README's table and a line of `--help`. */
  readonly doc: string;
  readonly unit?: "bytes" | "ms";
  /** The text used when none is set. Without a default the value is undefined. */
  readonly default?: string;
  /** Shown in the table instead of `default`, when that depends on the host. */
  readonly shownDefault?: string;
};

export type Settings = Readonly<Record<string, Setting<unknown>>>;

/** The texts that are set, by name. */
export type SettingTexts<S extends Settings> = { readonly [N in keyof S]?: string | undefined };

type Value<S> = S extends Form<infer T> ? T : never;

/** The values by name; undefined where nothing is set and there is no default. */
export type SettingValues<S extends Settings> = {
  readonly [N in keyof S]: S[N] extends { readonly default: string } ? Value<S[N]> : Value<S[N]> | undefined;
};

/** The texts that are set; an empty text sets nothing. Throws `ConfigError` for a PADDOCK_ name that is not declared. */
export function readSettingTexts<S extends Settings>(settings: S, env: NodeJS.ProcessEnv): SettingTexts<S> {
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith("PADDOCK_") && !Object.hasOwn(settings, name),
  );
  if (unknown.length > 0) {
    const known = Object.keys(settings).join(", ");
    throw new ConfigError(`${unknown.sort().join(", ")}: no such setting. There are: ${known}`);
  }
  return Object.fromEntries(Object.keys(settings).map((name): unknown[] => [name, env[name] || undefined]));
}

/** The values of the texts and defaults. Throws `ConfigError` for a text that does not have its setting's form. */
export function parseSettings<S extends Settings>(settings: S, texts: SettingTexts<S>): SettingValues<S> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, setting]): unknown[] => [
      name,
      parsedText(name, setting, texts[name] || setting.default),
    ]),
  );
}

function parsedText(name: string, { form, parse }: Setting<unknown>, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value === undefined) throw new ConfigError(`${name}: ${JSON.stringify(text)} is not ${form}`);
  return value;
}

/** One row for each setting: its name, its meaning with its unit, its default. */
export const settingRows = (settings: Settings): readonly (readonly [string, string, string])[] =>
  Object.entries(settings).map(([name, { doc, unit, default: text, shownDefault }]) => [
    name,
    unit === undefined ? doc : `${doc}, in ${unit}`,
    shownDefault ?? text ?? "",
  ]);

/** What `--help` prints. */
export function settingsHelp(service: string, settings: Settings): string {
  const lines = settingRows(settings).map(
    ([name, meaning, text]) => `  ${name}\n      ${meaning}${text === "" ? "" : ` (default: ${text})`}`,
  );
  return `${service} takes no arguments. Its settings, by environment variable:\n\n${lines.join("\n")}\n`;
}
