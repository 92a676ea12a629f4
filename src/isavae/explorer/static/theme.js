// Runs before the first paint, so that a remembered theme does not flash.
"use strict";
const remembered = localStorage.getItem("isavae-theme");
if (remembered) document.documentElement.dataset.theme = remembered;
