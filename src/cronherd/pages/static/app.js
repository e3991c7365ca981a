// What pages do beyond links and forms. Each file is one thing; all of it may be missing, and
// everything that matters can still be read and done.
import "./zone.js";
import "./times.js";
import "./log.js";
import "./live.js";
import "./pick.js";
import "./dialogs.js";
import "./keys.js";
import "./palette.js";
import "./tabs.js";
import "./edit.js";
import "./draft.js";
import "./failed.js";

document.documentElement.classList.add("js");
