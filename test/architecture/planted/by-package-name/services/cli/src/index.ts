import { id } from "../../../libs/domain/src/index.ts";

export const shown = id;
