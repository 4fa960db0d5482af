// What plain HTML cannot do: one box that selects all others. Everything works without it.
document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.dataset && box.dataset.all) {
    const others = box.form.querySelectorAll(`input[type=checkbox][name="${box.dataset.all}"]`);
    for (const other of others) other.checked = box.checked;
  }
});
