// SPDX-License-Identifier: Apache-2.0
// The slider shows its moment while it moves. Without this file its form does the same by a button.
"use strict";

(() => {
  const PAUSE_MS = 120;
  const form = document.querySelector("form[data-moment]");
  const slider = form.elements.step;
  let timer = 0;
  let asking = null;

  async function show() {
    asking?.abort();
    asking = new AbortController();
    const address = new URL(form.action);
    address.searchParams.set("step", slider.value);
    try {
      const answer = await fetch(address, { signal: asking.signal, headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const moment = page.getElementById("moment");
      if (!answer.ok || moment === null) throw new Error("no moment");
      document.getElementById("moment").replaceWith(moment);
      slider.setAttribute("aria-valuetext", page.getElementById("step").getAttribute("aria-valuetext"));
      history.replaceState(null, "", address);
    } catch (error) {
      // Logged out, or the line is down: the page itself says what is the matter.
      if (error.name !== "AbortError") location.assign(address);
    }
  }

  form.classList.add("live");
  slider.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, PAUSE_MS);
  });
})();
