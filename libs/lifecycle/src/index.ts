/** How a service starts and stops, and how changes are made: one at a time, in steps that can be undone, once for each request. */
export { KeyedLock, type LockHolder, type LockOptions, type LockView } from "./keyed-lock.ts";
export { OperatorError } from "./operator-error.ts";
export { type LedgerEntry, type LedgerRequest, type LedgerStore, RequestLedger } from "./request-ledger.ts";
export { PROCESS_SETTINGS, runService } from "./service-process.ts";
export { absolutePath, decimal, integer, listOf, oneOf, text, trueOrFalse } from "./setting-forms.ts";
export {
  ConfigError,
  type Form,
  parseSettings,
  readSettingTexts,
  type Settings,
  type SettingTexts,
  type SettingValues,
  settingRows,
} from "./settings.ts";
export { runSteps, type Step, type StepOptions, type UndoOptions, undoSteps } from "./step-runner.ts";
