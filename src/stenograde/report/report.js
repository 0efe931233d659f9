for (const picture of document.querySelectorAll("svg.stack")) {
  const slices = [...picture.querySelectorAll("image")];
  const home = slices.findIndex((slice) => !slice.classList.contains("other"));
  const place = picture.querySelector(".place");
  let at = home;
  const show = (to) => {
    at = Math.max(0, Math.min(slices.length - 1, to));
    slices.forEach((slice, k) => slice.classList.toggle("shown", k === at));
    picture.classList.toggle("away", at !== home);
    place.textContent = slices[at].dataset.where;
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    show(Math.floor(((event.clientX - box.left) / box.width) * slices.length));
  });
  for (const left of ["pointerleave", "blur"]) picture.addEventListener(left, () => show(home));
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    show(at + step);
  });
}
