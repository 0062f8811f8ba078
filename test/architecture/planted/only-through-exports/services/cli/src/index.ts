import { table } from "../../../libs/domain/src/internal-table.ts";

export const shown = table;
