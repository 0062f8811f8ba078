export { openClient as dial } from "@paddock/client";
