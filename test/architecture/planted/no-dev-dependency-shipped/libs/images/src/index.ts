import { pack } from "tar-stream";

export const archive = pack;
