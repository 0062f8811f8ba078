/** Pages of lists, as large as a message on the bus may be. */
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";

const DEFAULT_PAGE_SIZE = 100;
/** The bus carries 1 MiB per message; the rest is for the fields around the page. */
const MAX_PAGE_BYTES = 1008 * 1024;
/** Key and length of an item in the page's message. */
const FIELD_BYTES = 5;

export type PageOptions<Item, Desc extends DescMessage> = {
  readonly schema: Desc;
  /** Maximum number of items; 0 means the default. */
  readonly pageSize: number;
  /** The message of the item. */
  readonly shown: (item: Item) => MessageShape<Desc>;
  /** The item without the parts that may make it too large for one page: one large item must not make a list fail. */
  readonly reduced: (message: MessageShape<Desc>) => MessageShape<Desc>;
  /** The token of the page that begins after this item. */
  readonly tokenOf: (message: MessageShape<Desc>) => string;
};

export type Page<Desc extends DescMessage> = {
  readonly items: MessageShape<Desc>[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
};

/** The first items, as many as fit on a page, but at least one if there are any. Reads at most one more. */
export function fillPage<Item, Desc extends DescMessage>(
  all: Iterable<Item>,
  { schema, pageSize, shown, reduced, tokenOf }: PageOptions<Item, Desc>,
): Page<Desc> {
  const bytesOf = (message: MessageShape<Desc>) => toBinary(schema, message).length + FIELD_BYTES;
  const items: MessageShape<Desc>[] = [];
  const pageOf = (last?: MessageShape<Desc>) => ({ items, nextPageToken: last ? tokenOf(last) : "" });
  let pageBytes = 0;
  for (const item of all) {
    if (items.length === (pageSize || DEFAULT_PAGE_SIZE)) return pageOf(items.at(-1));
    let message = shown(item);
    let bytes = bytesOf(message);
    if (bytes > MAX_PAGE_BYTES) {
      message = reduced(message);
      bytes = bytesOf(message);
    }
    if (items.length > 0 && pageBytes + bytes > MAX_PAGE_BYTES) return pageOf(items.at(-1));
    items.push(message);
    pageBytes += bytes;
  }
  return pageOf();
}

/** Whether a spec has all of these labels. */
export const hasLabels = (
  spec: { readonly labels: Readonly<Record<string, string>> },
  wanted: Readonly<Record<string, string>>,
): boolean => Object.entries(wanted).every(([key, value]) => spec.labels[key] === value);
