import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** The years that a Timestamp may name: 1 to 9999 (timestamp.proto). Others cannot be written as JSON. */
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;

/** The longest Duration that can be written as JSON: 10000 years (duration.proto). */
const MOST_SECONDS = 315_576_000_000n;

type Span = { readonly seconds: bigint; readonly nanos: number };

const isWithin = ({ seconds, nanos }: Span, first: bigint, last: bigint): boolean =>
  seconds >= first && seconds <= last && nanos >= 0 && nanos <= 999_999_999;

/** A guest's time as a message for clients; undefined if it is invalid in a Timestamp. */
export function guestTime(time: Timestamp | undefined): Timestamp | undefined {
  if (time === undefined || !isWithin(time, FIRST_SECOND, LAST_SECOND)) return undefined;
  return create(TimestampSchema, { seconds: time.seconds, nanos: time.nanos });
}

/** A guest's time since its boot as a message for clients; undefined if it is invalid in a Duration. */
export function guestSpan(span: Duration | undefined): Duration | undefined {
  if (span === undefined || !isWithin(span, 0n, MOST_SECONDS)) return undefined;
  return create(DurationSchema, { seconds: span.seconds, nanos: span.nanos });
}

/** A time in microseconds since the epoch as a message. */
export const timeFromUs = (timeUs: number): Timestamp =>
  create(TimestampSchema, {
    seconds: BigInt(Math.floor(timeUs / 1e6)),
    nanos: Math.floor(timeUs % 1e6) * 1000,
  });

/** Microseconds since the epoch. */
export const usFromTime = ({ seconds, nanos }: Timestamp): number =>
  Number(seconds) * 1e6 + Math.floor(nanos / 1000);
