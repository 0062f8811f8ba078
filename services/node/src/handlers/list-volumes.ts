import { type Volume, VolumeSchema, VolumeService } from "@paddock/protocol";
import { command } from "../command.ts";
import { fillPage } from "./fill-page.ts";
import { volumeNow } from "./volume-answer.ts";

const DEFAULT_PAGE_SIZE = 100;

/** A page in order of name. The token is the last name of the previous page. */
export const listVolumes = command(VolumeService.method.listVolumes, async (ctx, { pageSize, pageToken }) => {
  // One more than a page, which tells whether there is another page.
  const wanted = ctx.volumes.after(pageToken).slice(0, (pageSize || DEFAULT_PAGE_SIZE) + 1);
  const { items, nextPageToken } = fillPage(
    await Promise.all(wanted.map((record) => volumeNow(ctx, record))),
    {
      schema: VolumeSchema,
      pageSize,
      shown: (volume) => volume,
      reduced: withoutUsers,
      tokenOf: ({ name }) => name,
    },
  );
  return { volumes: items, nextPageToken };
});

const withoutUsers = (volume: Volume): Volume => ({ ...volume, users: [] });
