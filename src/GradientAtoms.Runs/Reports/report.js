'use strict';
// Without this script the page is complete, every atom open. It folds them, and adds sorting and filtering.
(function () {
  var table = document.getElementById('atom-table');
  if (!table) { return; }
  var bodies = Array.from(table.tBodies);
  var rows = bodies.map(function (body) {
    return { body: body, button: body.querySelector('button.o'), detail: body.querySelector('tr.d'), text: body.textContent.toLowerCase() };
  });
  function fold(row, open) {
    row.detail.hidden = !open;
    row.button.setAttribute('aria-expanded', String(open));
  }
  rows.forEach(function (row) {
    fold(row, false);
    row.button.addEventListener('click', function () { fold(row, row.detail.hidden); });
  });

  var status = document.getElementById('atom-status');
  var filter = document.getElementById('atom-filter');
  var rest = document.getElementById('atom-rest');
  function show() {
    var words = filter.value.toLowerCase().split(' ').filter(Boolean);
    var shown = 0;
    rows.forEach(function (row) {
      var match = words.every(function (word) { return row.text.includes(word); })
        && (!rest || rest.checked || row.body.dataset.certified !== '0');
      row.body.hidden = !match;
      shown += match ? 1 : 0;
    });
    status.textContent = shown === rows.length ? '' : shown + ' of ' + rows.length + ' atoms';
  }
  filter.addEventListener('input', show);
  if (rest) { rest.addEventListener('change', show); }
  show();

  document.getElementById('atom-open').addEventListener('click', function () { setAll(true); });
  document.getElementById('atom-close').addEventListener('click', function () { setAll(false); });
  function setAll(open) {
    rows.forEach(function (row) { if (!row.body.hidden) { fold(row, open); } });
  }

  table.querySelectorAll('th button').forEach(function (button) {
    button.addEventListener('click', function () {
      var head = button.parentElement;
      var descending = head.getAttribute('aria-sort') !== 'descending';
      table.querySelectorAll('th[aria-sort]').forEach(function (other) { other.removeAttribute('aria-sort'); });
      head.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      var key = button.dataset.key;
      rows.slice().sort(function (left, right) {
        var a = value(left, key), b = value(right, key);
        // Atoms without the number come last, whichever way the others go.
        if (a === null || b === null) { return (a === null ? 1 : 0) - (b === null ? 1 : 0); }
        return descending ? b - a : a - b;
      }).forEach(function (row) { table.appendChild(row.body); });
    });
  });
  function value(row, key) {
    var text = row.body.dataset[key];
    return text === undefined ? null : Number(text);
  }

  function openTarget() {
    var target = rows.find(function (row) { return '#' + row.body.id === decodeURIComponent(location.hash); });
    if (target) {
      target.body.hidden = false;
      fold(target, true);
      target.body.scrollIntoView();
      target.button.focus({ preventScroll: true });
    }
  }
  window.addEventListener('hashchange', openTarget);
  openTarget();
}());
