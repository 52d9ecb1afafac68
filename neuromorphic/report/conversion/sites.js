
// Sites by path or worst first: the chart says in which order its rows would stand.
const order = document.getElementById("order");
if (order) {
  const chart = document.querySelector(".sites");
  const rows = [...chart.querySelectorAll(".row.site:not(.head)")];
  const worst = chart.dataset.worst.split(",").map((index) => rows[Number(index)]);
  order.addEventListener("change", () => chart.append(...(order.value === "worst" ? worst : rows)));
  order.closest(".order").hidden = false;
}
