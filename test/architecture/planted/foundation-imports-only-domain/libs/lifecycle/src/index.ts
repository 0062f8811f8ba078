import { send } from "@paddock/protocol";

export const decide = send;
