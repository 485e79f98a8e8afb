"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Colours: as the system has them, until somebody says otherwise.
  const theme = $(".theme");
  const stored = {
    get() { try { return localStorage.getItem("kluster-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("kluster-theme", value); } catch { /* a page from disk may have no storage */ } },
  };
  const paint = (name) => {
    if (name === "light" || name === "dark") document.documentElement.dataset.theme = name;
    else { name = "auto"; delete document.documentElement.dataset.theme; }
    theme.textContent = name;
    theme.setAttribute("aria-label", "Colours: " + name);
    return name;
  };
  let painted = paint(stored.get());
  theme.addEventListener("click", () => {
    painted = paint({ auto: "light", light: "dark", dark: "auto" }[painted]);
    stored.set(painted);
  });

  // The table: every word that is typed must occur in a row.
  const table = $("#table"), search = $("#search");
  if (table) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((tr, at) => ({ tr, at, text: (tr.dataset.name + " " + tr.textContent).toLowerCase(), state: tr.dataset.state }));
    const chips = $$(".chip"), output = $(".bar output"), none = $(".none");

    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.state);
      let shown = 0;
      for (const row of rows) {
        const show = (!wanted.length || wanted.includes(row.state)) && words.every((w) => row.text.includes(w));
        row.tr.classList.toggle("hidden", !show);
        if (show) shown++;
      }
      output.textContent = shown === rows.length ? `${rows.length} specs` : `${shown} of ${rows.length}`;
      none.classList.toggle("hidden", shown > 0);
    };
    const only = (state) => {
      for (const c of chips) c.setAttribute("aria-pressed", String(c.dataset.state === state));
      filter();
    };

    const value = (tr, column) => {
      const v = tr.cells[column].dataset.v;
      return v !== undefined ? Number(v) : tr.cells[column].textContent.trim().toLowerCase();
    };
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    const sort = (th) => {
      const column = th.cellIndex;
      const begins = th.dataset.first || "ascending";
      const now = th.getAttribute("aria-sort");
      const order = !now ? begins : now === "ascending" ? "descending" : "ascending";
      for (const other of $$("th[aria-sort]", table)) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const keyed = rows.map((row) => ({ row, key: value(row.tr, column) }));
      keyed.sort((a, b) => sign * compare(a.key, b.key) || a.row.at - b.row.at);
      body.append(...keyed.map((k) => k.row.tr));
    };

    search.addEventListener("input", filter);
    for (const th of $$("th", table)) $("button", th)?.addEventListener("click", () => sort(th));
    for (const chip of chips) {
      chip.addEventListener("click", () => {
        chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
        filter();
      });
    }
    for (const a of $$("[data-only]")) a.addEventListener("click", () => only(a.dataset.only));

    // A link to a row shows it, whatever was searched for.
    const show = () => {
      const row = /^#spec-\d+$/.test(location.hash) && $(location.hash);
      if (row && row.classList.contains("hidden")) {
        search.value = "";
        only(null);
        row.scrollIntoView();
      }
    };
    addEventListener("hashchange", show);
    document.addEventListener("keydown", (e) => {
      const typing = /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName);
      if (e.key === "/" && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
        e.preventDefault();
        search.focus();
        search.select();
      } else if (e.key === "Escape" && document.activeElement === search) {
        search.value = "";
        filter();
      }
    });
    filter();
  }

  for (const button of $$("[data-copy]")) {
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "copied";
      } catch {
        button.textContent = "not allowed";
      }
      setTimeout(() => { button.textContent = "copy name"; }, 1200);
    });
  }

  // What a bar of the timeline stands for.
  const tip = document.createElement("div");
  tip.className = "tip hidden";
  document.body.append(tip);
  const hide = () => tip.classList.add("hidden");
  for (const svg of $$(".lanes svg")) {
    svg.addEventListener("pointermove", (e) => {
      const text = e.target.dataset?.tip;
      if (!text) return hide();
      tip.textContent = text;
      tip.classList.remove("hidden");
      const x = Math.min(e.pageX + 14, scrollX + innerWidth - tip.offsetWidth - 8);
      tip.style.left = Math.max(8, x) + "px";
      tip.style.top = e.pageY + 16 + "px";
    });
    svg.addEventListener("pointerleave", hide);
  }
})();
