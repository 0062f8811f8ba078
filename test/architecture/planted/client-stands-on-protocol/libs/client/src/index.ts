export { dial as openClient } from "@paddock/rpc";
