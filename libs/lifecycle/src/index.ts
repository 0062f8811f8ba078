/** How changes are made: one at a time, in steps that can be undone, and once for each request. */
export { KeyedLock, type LockMode, type LockOptions, type LockView } from "./keyed-lock.ts";
export { type LedgerEntry, type LedgerRequest, type LedgerStore, RequestLedger } from "./request-ledger.ts";
export { runSteps, type Step, type StepOptions, type UndoJournal, undoSteps } from "./step-runner.ts";
