for (const head of document.querySelectorAll("th")) {
  head.className = "sorts";
  head.tabIndex = 0;
  const sort = function () {
    const body = head.closest("table").tBodies[0];
    const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const text = row => row.cells[head.cellIndex].textContent;
    const number = row => parseFloat(text(row).replace(/[\u2009 ]/g, ""));
    const order = function (a, b) {
      const x = number(a), y = number(b);
      return isNaN(x) - isNaN(y) || turn * (x - y || text(a).localeCompare(text(b)));
    };
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
    body.append(...Array.from(body.rows).sort(order));
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => event.key === "Enter" ? sort() : 0);
}
