/**
 * `parseArgs` with the names and rules of `@std/cli/parse-args`: GNU-like flags, typed by the options. Its grammar
 * (numbers recognised, `--a.b 1` nests, an unknown flag takes the next word) is not that of `node:util`, so it is parsed here.
 */

/** What `parseArgs` is told about the flags. Names are written without dashes. */
export interface ParseOptions<
  B extends string = string,
  S extends string = string,
  C extends string = string,
  D extends Record<string, unknown> = Record<string, unknown>,
> {
  /** Flags without a value; `true` makes every `--flag` without `=` one. @default [] */
  boolean?: boolean | B | readonly B[];
  /** Flags whose value stays text even if it looks like a number; `"_"` for positional words. @default [] */
  string?: S | readonly S[];
  /** Flags that may come several times, their values gathered in an array. @default [] */
  collect?: C | readonly C[];
  /** Flags that also exist as `--no-NAME`. @default [] */
  negatable?: string | readonly string[];
  /** Other names of a flag; every name carries the value. @default {} */
  alias?: Readonly<Record<string, string | readonly string[]>>;
  /** Values of flags that are not given. @default {} */
  default?: D;
  /** Take everything after the first positional word as positional. @default false */
  stopEarly?: boolean;
  /** Put what follows `--` into the result's `--` instead of `_`. @default false */
  "--"?: boolean;
  /** Called for every word or flag not named in the options; return false to drop it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

type ValueOf<K extends string, S extends string, C extends string, D> = K extends C
  ? (K extends S ? string[] : unknown[])
  : K extends S ? (K extends keyof D ? string | D[K] : string | undefined)
  : (K extends keyof D ? boolean | D[K] : boolean);

/** The parsed flags: those named in the options with their types, any other as unknown. */
export type Args<
  B extends string = never,
  S extends string = never,
  C extends string = never,
  D extends Record<string, unknown> = Record<never, unknown>,
> =
  & { _: (string | number)[]; "--"?: string[]; [name: string]: unknown }
  & { [K in Exclude<B | S | C, "_">]: ValueOf<K, S, C, D> }
  & { [K in Exclude<keyof D, B | S | C>]: D[K] };

/**
 * Parses command line words.
 *
 * @param args The words, as in `Deno.args`.
 * @returns One entry for each flag, positional words under `_`.
 *
 * @example
 * ```ts
 * import { parseArgs } from "@std/cli/parse-args";
 * import { assertEquals } from "@std/assert";
 * const args = parseArgs(["--quiet", "--seed=7", "clip.mp4"], { boolean: ["quiet"] });
 * assertEquals(args, { _: ["clip.mp4"], quiet: true, seed: 7 });
 * ```
 */
export function parseArgs<
  B extends string = never,
  S extends string = never,
  C extends string = never,
  const D extends Record<string, unknown> = Record<never, unknown>,
>(args: readonly string[], options: ParseOptions<B, S, C, D> = {}): Args<B, S, C, D> {
  return new Parser(options as ParseOptions).parse(args) as Args<B, S, C, D>;
}

function listOf(names: string | readonly string[] | undefined): readonly string[] {
  return typeof names === "string" ? [names] : names ?? [];
}

const NUMBER = /^(?:0x[0-9a-f]+|[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)$/i;

class Parser {
  readonly #options: ParseOptions;
  readonly #allBoolean: boolean;
  readonly #aliases = new Map<string, Set<string>>();
  readonly #boolean: Set<string>;
  readonly #string: Set<string>;
  readonly #collect: Set<string>;
  readonly #negatable: Set<string>;
  readonly #known = new Set<string>();
  readonly #given = new Set<string>();
  readonly #result: Record<string, unknown> & { _: (string | number)[] } = { _: [] };

  constructor(options: ParseOptions) {
    this.#options = options;
    this.#allBoolean = options.boolean === true;
    for (const [name, others] of Object.entries(options.alias ?? {})) {
      const group = new Set([name, ...listOf(others)].flatMap((n) => [n, ...(this.#aliases.get(n) ?? [])]));
      for (const member of group) this.#aliases.set(member, group);
    }
    this.#boolean = this.#withAliases(typeof options.boolean === "boolean" ? [] : listOf(options.boolean));
    this.#string = this.#withAliases(listOf(options.string));
    this.#collect = this.#withAliases(listOf(options.collect));
    this.#negatable = this.#withAliases(listOf(options.negatable));
    const named = [this.#boolean, this.#string, this.#collect, this.#negatable, this.#aliases.keys()];
    for (const names of [...named, Object.keys(options.default ?? {})]) for (const name of names) this.#known.add(name);
  }

  #names(name: string): Iterable<string> {
    return this.#aliases.get(name) ?? [name];
  }

  #withAliases(names: readonly string[]): Set<string> {
    return new Set(names.flatMap((name) => [...this.#names(name)]));
  }

  parse(args: readonly string[]): Record<string, unknown> {
    const end = args.indexOf("--");
    const words = end < 0 ? args : args.slice(0, end);
    const rest = end < 0 ? [] : args.slice(end + 1);
    let i = 0;
    for (; i < words.length; i++) {
      const word = words[i] as string;
      if (word.startsWith("--")) i += this.#long(word, words[i + 1]);
      else if (word.startsWith("-") && word !== "-") i += this.#short(word, words[i + 1]);
      else {
        this.#positional(word);
        if (this.#options.stopEarly) break;
      }
    }
    for (const word of words.slice(i + 1)) this.#result._.push(this.#string.has("_") ? word : numberOr(word));
    this.#fillIn();
    if (this.#options["--"]) this.#result["--"] = [...rest];
    else this.#result._.push(...rest);
    return this.#result;
  }

  /** Handles `--name[=value]`; returns how many further words it took. */
  #long(word: string, next: string | undefined): number {
    const equals = word.indexOf("=");
    const name = word.slice(2, equals < 0 ? undefined : equals);
    if (equals >= 0) {
      const value = word.slice(equals + 1);
      this.#set(word, name, this.#isBoolean(name) ? value !== "false" : value);
      return 0;
    }
    const negated = name.startsWith("no-") ? name.slice(3) : "";
    if (negated && this.#negatable.has(negated)) {
      this.#set(word, negated, false);
      return 0;
    }
    return this.#valueOrTrue(word, name, next);
  }

  /** Handles `-abc`, `-n5`, `-n=5`, `-n 5`; returns how many further words it took. */
  #short(word: string, next: string | undefined): number {
    const letters = word.slice(1);
    for (let j = 0; j < letters.length; j++) {
      const letter = letters[j] as string;
      const rest = letters.slice(j + 1);
      if (rest === "") return this.#valueOrTrue(word, letter, next);
      const isBoolean = this.#boolean.has(letter);
      if (rest.startsWith("=")) {
        this.#set(word, letter, isBoolean ? rest.slice(1) !== "false" : rest.slice(1));
        return 0;
      }
      if (!isBoolean && (this.#string.has(letter) || NUMBER.test(rest) || /^\W/.test(rest))) {
        this.#set(word, letter, rest);
        return 0;
      }
      this.#set(word, letter, true);
    }
    return 0;
  }

  /** A flag at the end of its word: the next word is its value unless it is a flag or the name a boolean. */
  #valueOrTrue(word: string, name: string, next: string | undefined): number {
    const isBoolean = this.#isBoolean(name);
    if (!isBoolean && next !== undefined && (next === "-" || !next.startsWith("-"))) {
      this.#set(word, name, next);
      return 1;
    }
    if (isBoolean && (next === "true" || next === "false")) {
      this.#set(word, name, next === "true");
      return 1;
    }
    this.#set(word, name, this.#string.has(name) ? "" : true);
    return 0;
  }

  #isBoolean(name: string): boolean {
    return this.#boolean.has(name) || (this.#allBoolean && !this.#string.has(name) && !this.#aliases.has(name));
  }

  #positional(word: string): void {
    if (this.#options.unknown?.(word) === false) return;
    this.#result._.push(this.#string.has("_") ? word : numberOr(word));
  }

  #set(word: string, name: string, value: unknown): void {
    const known = this.#known.has(name) || (this.#allBoolean && word.startsWith("--") && !word.includes("="));
    const typed = typeof value === "string" && !this.#string.has(name) ? numberOr(value) : value;
    if (!known && this.#options.unknown?.(word, name, value) === false) return;
    for (const each of this.#names(name)) {
      this.#given.add(each);
      const old = this.#collect.has(each) ? read(this.#result, each) : undefined;
      write(this.#result, each, this.#collect.has(each) ? [...(Array.isArray(old) ? old : []), typed] : typed);
    }
  }

  /** Defaults first, then false for booleans and [] for collected flags. */
  #fillIn(): void {
    const fill = (name: string, value: unknown) => {
      if (this.#given.has(name) || read(this.#result, name) !== undefined) return;
      write(this.#result, name, value);
    };
    for (const [name, value] of Object.entries(this.#options.default ?? {})) {
      for (const each of this.#names(name)) fill(each, value);
    }
    for (const name of this.#collect) fill(name, []);
    for (const name of [...this.#boolean, ...this.#negatable]) fill(name, false);
  }
}

function numberOr(text: string): string | number {
  return NUMBER.test(text) ? Number(text) : text;
}

/** `a.b` is the entry b of the object a; inherited names are never followed. */
function read(target: Record<string, unknown>, name: string): unknown {
  let value: unknown = target;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function write(target: Record<string, unknown>, name: string, value: unknown): void {
  const parts = name.split(".");
  const last = parts.pop() as string;
  let holder = target;
  for (const part of parts) {
    const inner = Object.hasOwn(holder, part) ? holder[part] : undefined;
    const next = typeof inner === "object" && inner !== null ? inner as Record<string, unknown> : {};
    if (next !== inner) define(holder, part, next);
    holder = next;
  }
  define(holder, last, value);
}

/** Defined, not assigned: `--__proto__` must become an ordinary entry. */
function define(holder: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(holder, name, { value, writable: true, enumerable: true, configurable: true });
}
