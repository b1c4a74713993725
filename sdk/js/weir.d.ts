/** What a plugin for Weir is given. Write handlers as exports:
 *
 *     export function filter(event: Event): boolean { … }
 *     export function transform(event: Event): void | false { … }
 */
declare module "weir" {
  /** A value that JSON can hold. A bigint at the top of a value keeps all its digits. */
  export type Json = string | number | boolean | null | Json[] | { [key: string]: Json | undefined };

  /**
   * The event on its way along a route; the same object in every call.
   *
   * Paths are keys and indexes parted by dots: `items.0.price`. `\.` is a dot in
   * a key and `\\` a backslash; `path()` writes them. A path that can't be read, a
   * change that is not allowed or has no place throws an Error.
   */
  export interface Event {
    /** Such as `order.created`. Can be set. */
    type: string;
    readonly id: string;
    /** The name of the source that took the event. */
    readonly source: string;
    /** Can be set; undefined takes it away. */
    subject: string | undefined;
    /** RFC 3339, UTC. */
    readonly time: string;
    /** Can be set; undefined takes it away. Set it to a JSON type after data, to another before. */
    contentType: string | undefined;
    readonly tenant: string | undefined;
    readonly route: string;

    /** The value at a path of data, undefined where there is none. Nothing else is parsed. */
    get(path: string): any;
    /** The same as JSON text, as the producer wrote it: 9007199254740993 and 1.0 stay. */
    getRaw(path: string): string | undefined;
    /** Whether there is a value at a path, null included. */
    has(path: string): boolean;
    /**
     * Puts a value at a path. Objects that are missing on the way are made, the
     * index behind an array's last element appends. All other bytes stay.
     */
    set(path: string, value: Json | bigint | object): void;
    /** Puts JSON text there, as it is. */
    setRaw(path: string, json: string): void;
    /** Takes a value away, and says whether there was one. */
    remove(path: string): boolean;

    /** A header, its name in any case, repeated ones joined by ", ". */
    header(name: string): string | undefined;
    /** Sets a header, which the receiver gets. */
    setHeader(name: string, value: string): void;
    /** Takes a header away, and says whether there was one. */
    removeHeader(name: string): boolean;

    /**
     * All of data, parsed anew each time: about 30 times the cost of `get`, and
     * numbers are JavaScript's. A copy: change it and assign it back. Forms are
     * objects of strings, texts strings, other data undefined. Under a content
     * type that is not JSON a string is written as it is.
     */
    get data(): any;
    set data(value: Json | bigint | object);
    /** The bytes of data, a copy. */
    bytes: Uint8Array;

    /**
     * Sends the event as it stands, then puts it back to what it was. A transform
     * that emits sends what it emitted, nothing else.
     */
    emit(): void;
    /** The whole message, so that JSON.stringify(event) shows it. */
    toJSON(): { id: string; type: string; source: string; subject?: string; time: string; header: Record<string, any>; data?: any; data_base64?: string };
  }

  /** The `config` of the plugin block, null when unset. */
  export const config: any;
  /** Ends the handler: the event, or what is left of it, is not sent. */
  export function drop(): never;
  /** Ends the handler with an error: the event becomes a dead letter with this text. Outside of
   *  a handler it refuses to start, such as for a config that is wrong. */
  export function fail(text: string): never;
  /** A path of keys that may hold dots: `path("a.b", 0)` is `a\.b.0`. */
  export function path(...segments: (string | number)[]): string;
}

/** Writes lines to the router's log; log and info are the same. */
declare const console: Record<"trace" | "debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;
