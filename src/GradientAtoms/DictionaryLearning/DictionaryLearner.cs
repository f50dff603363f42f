using System.Runtime.InteropServices;
using GradientAtoms.Coordinates;
using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>Learns atoms and codes: min over D, A of (1/N) Σ ½‖x_i − a_i D‖² + α‖a_i‖₁, with atoms of norm 1.</summary>
/// <remarks>
/// A round goes through the documents in parts, and atoms follow after each part, not only after all (as online learning has it:
/// Mairal, Bach, Ponce and Sapiro 2010; but a document's old codes are taken out of the sums when it gets new ones, so each step
/// lowers the objective of all documents). Wide rows are learnt on fewer numbers first, and only the last rounds on themselves.
/// </remarks>
public static class DictionaryLearner
{
    private const double LearningTolerance = 1e-5; // of a code; the codes that are returned are exact
    private const double SmallestSparsity = 1e-6;
    private const double NonzeroTolerance = 0.05;
    private const int NarrowSize = 1024;
    private const int MostNarrow = 1 << 16; // documents of which narrow rows are held in memory: 256 MiB
    private const int MostParts = 10;

    /// <summary>Learns a dictionary of rows in memory.</summary>
    /// <inheritdoc cref="Learn(IRowSource, DictionaryOptions, IProgress{StageProgress}?, CancellationToken)"/>
    public static LearnedDictionary Learn(
        Tensor rows,
        DictionaryOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default) =>
        Learn(SparseCoder.InMemory(rows), options, progress, cancellationToken);

    /// <summary>Learns a dictionary.</summary>
    /// <param name="rows">
    /// <c>[N, k]</c>, documents in whitened coordinates, of norm 1 (centred rows may be a little shorter), read once or twice a round, some
    /// thousand at a time. In memory are the atoms and two more of their size, a few codes a document, and of no more than 65,536
    /// documents 1,024 numbers each.
    /// </param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told after every round.</param>
    /// <param name="cancellationToken">Looked at every round.</param>
    /// <returns>The dictionary of the best start. The caller owns it.</returns>
    /// <exception cref="DictionaryException">More atoms than documents, or nothing is left at this penalty.</exception>
    /// <exception cref="NumericalException">A row is not finite.</exception>
    public static LearnedDictionary Learn(
        IRowSource rows,
        DictionaryOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        Check(rows, options);
        var sparsity = options.Sparsity;
        var objectives = new List<double>();
        State? best = null;
        var energies = SparseCoder.Energies(rows);
        using var narrow = rows.ColumnCount >= 4 * NarrowSize && rows.RowCount <= MostNarrow && options.Rounds > 1 ? Narrowed(rows, options.Seed) : null;
        var narrowEnergies = narrow is null ? [] : SparseCoder.Energies(narrow);
        for (var start = 0; start < options.Starts; start++)
        {
            State? before = null;
            if (narrow is not null)
            {
                before = new State(new RowsInMemory(narrow), narrowEnergies, options, sparsity, start);
                before.Learn(options.Rounds - (options.Rounds / 4), progress, cancellationToken);
            }

            var state = new State(rows, energies, options, sparsity, start, before);
            state.Learn(options.Rounds, progress, cancellationToken);
            state.Finish(cancellationToken);
            // Objectives compare only at one penalty: the first start finds it for all.
            sparsity = state.Sparsity;
            objectives.Add(state.Final.Objective);
            if (best is null || state.Final.Objective < best.Final.Objective)
                best = state;
        }

        return best!.Result(objectives);
    }

    /// <summary>
    /// Rows of fewer numbers whose inner products are those of the rows but for about 1/√<see cref="NarrowSize"/>, <c>[N, 1024]</c>, float32. Most
    /// rounds only find out which documents belong together, and need no more.
    /// </summary>
    internal static Tensor Narrowed(IRowSource rows, long seed)
    {
        using var scope = NewDisposeScope();
        var projector = new SketchProjector(NarrowSize, seed, "dictionary/narrow", entries: 1);
        var narrow = zeros([rows.RowCount, NarrowSize], ScalarType.Float32, DeviceOf(rows));
        for (var first = 0; first < rows.RowCount; first += SparseCoder.BlockSize)
        {
            using var block = NewDisposeScope();
            var count = Math.Min(SparseCoder.BlockSize, rows.RowCount - first);
            narrow.narrow(0, first, count).copy_(projector.Apply(rows.ReadBlock(first, count).to(ScalarType.Float32).cpu()));
        }

        return narrow.MoveToOuterDisposeScope();
    }

    // Rows that are read from files come into the memory of the processor.
    private static Device DeviceOf(IRowSource rows) => rows is RowsInMemory memory ? memory.Rows.device : CPU;

    private static void Check(IRowSource rows, DictionaryOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.AtomCount, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Rounds, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Starts, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Sparsity ?? options.TargetNonzeros, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Gate ?? 1, nameof(options));
        if (options.AtomCount > rows.RowCount)
            throw DictionaryException.TooManyAtoms(options.AtomCount, rows.RowCount);
    }

    /// <summary>One start.</summary>
    private sealed class State
    {
        private readonly IRowSource _rows;
        private readonly DictionaryOptions _options;
        private readonly bool _isSearching;
        private readonly int _start;
        private readonly int _size;
        private readonly double[] _energies; // [N]
        private readonly float[] _atoms; // [K, k]
        private readonly AtomUpdate _update;
        private readonly int _parts;
        private readonly RowCodes[] _codes;
        private int _rounds;
        private int _reseeded;
        private bool _converged;

        /// <summary>Begins with documents as atoms, or with the codes that narrower rows have come to.</summary>
        public State(IRowSource rows, double[] energies, DictionaryOptions options, double? sparsity, int start, State? before = null)
        {
            // Atoms follow after every part of the documents, not only after all; but the atoms' own products are formed anew each time.
            _parts = before is null ? Math.Clamp(rows.RowCount / options.AtomCount, 1, MostParts) : 1;
            (_rows, _options, _start, _size) = (rows, options, start, (int)rows.ColumnCount);
            _isSearching = sparsity is null;
            Sparsity = sparsity ?? 0.1;
            _codes = SparseCoder.Nothing(rows.RowCount);
            _energies = energies;
            _update = new(options.AtomCount, _size);
            if (before is null)
            {
                _atoms = FirstAtoms();
                return;
            }

            _atoms = new float[options.AtomCount * _size];
            (_codes, _rounds, _reseeded, Sparsity) = (before._codes, before._rounds, before._reseeded, before.Sparsity);
            UpdateAtoms();
        }

        public double Sparsity { get; private set; }

        public SparseCoder.Pass Final { get; private set; } = null!;

        /// <summary>Learns until it converges, or to the end of a round.</summary>
        public void Learn(int lastRound, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
        {
            if (_isSearching)
                SearchSparsity(0.5, cancellationToken);
            var (previous, first) = (double.PositiveInfinity, _rounds + 1);
            while (_rounds < lastRound && !_converged)
            {
                cancellationToken.ThrowIfCancellationRequested();
                _rounds++;
                var pass = LearnRound(cancellationToken);
                if (_rounds > 1 && !_isSearching)
                    RequireCodes(pass);
                var steady = !_isSearching || Math.Abs(pass.MeanNonzeros - _options.TargetNonzeros) <= 0.1;
                _converged = steady && previous - pass.Objective <= _options.Tolerance * pass.Objective && _rounds > first + 1;
                previous = steady && _rounds > 1 ? pass.Objective : double.PositiveInfinity; // the first round has a penalty of its own
                // The last rounds only settle: an atom taken anew there would be half learnt.
                if (_rounds <= _options.Rounds * 2 / 3 && pass.MeanNonzeros > 0 && Reseed(pass) > 0)
                    _converged = false;
                UpdateAtoms();
                if (!steady && _rounds > 1)
                    Sparsity *= Math.Clamp(Math.Sqrt(pass.MeanNonzeros / _options.TargetNonzeros), 0.5, 2);
                progress?.Report(new("dictionary", ((long)_start * _options.Rounds) + _rounds, (long)_options.Starts * _options.Rounds, "rounds", FormattableString.Invariant($"objective {pass.Objective:f4}, {pass.MeanNonzeros:f1} codes a document")));
            }
        }

        /// <summary>The codes of the learnt atoms, exactly.</summary>
        public void Finish(CancellationToken cancellationToken)
        {
            if (_isSearching)
                SearchSparsity(NonzeroTolerance, cancellationToken);
            Final = Encode(1e-9, Sparsity, 0, _codes.Length, cancellationToken);
            RequireCodes(Final);
        }

        public LearnedDictionary Result(IReadOnlyList<double> objectives)
        {
            var supports = new int[_options.AtomCount];
            var balances = new double[_options.AtomCount]; // Σ ± code²
            foreach (var row in _codes)
            {
                for (var entry = 0; entry < row.Atoms.Length; entry++)
                {
                    supports[row.Atoms[entry]]++;
                    balances[row.Atoms[entry]] += row.Values[entry] * Math.Abs(row.Values[entry]);
                }
            }

            var dead = supports.Count(support => support == 0);
            if (dead > _options.AtomCount / 2 && !_options.ToleratesDegenerate)
                throw DictionaryException.MostAtomsDead(dead, _options.AtomCount, Sparsity);
            for (var atom = 0; atom < _options.AtomCount; atom++)
            {
                if (balances[atom] < 0)
                {
                    foreach (ref var entry in _atoms.AsSpan(atom * _size, _size))
                        entry = -entry;
                }
            }

            foreach (var row in _codes)
            {
                for (var entry = 0; entry < row.Atoms.Length; entry++)
                {
                    if (balances[row.Atoms[entry]] < 0)
                        row.Values[entry] = -row.Values[entry];
                }
            }

            var atoms = Atoms();
            var codes = SparseCoder.ToSparse(_codes, _options.AtomCount);
            var gates = _options.Gate is { } share ? PoleGates.Fit(_rows, atoms, codes, share, _options.MinimumSupport) : null;
            return new(atoms)
            {
                Codes = gates?.Encode(_rows, atoms) ?? codes,
                Gates = gates,
                Sparsity = Sparsity,
                Objective = Final.Objective,
                DualityGap = Final.MeanGap,
                Rounds = _rounds,
                Converged = _converged,
                DeadAtoms = dead,
                WeakAtoms = supports.Count(support => support > 0 && support < _options.MinimumSupport),
                ReseededAtoms = _reseeded,
                StartObjectives = objectives,
            };
        }

        // In memory of torch: bits of a product depend on where its factors lie, and a tensor made from an array may lie anywhere.
        private Tensor Atoms()
        {
            using var array = tensor(_atoms, [_options.AtomCount, _size], ScalarType.Float32);
            return array.to(DeviceOf(_rows), copy: true);
        }

        private void RequireCodes(SparseCoder.Pass pass)
        {
            if (pass.MeanNonzeros == 0 && !_options.ToleratesDegenerate)
                throw DictionaryException.NoCodes(Sparsity);
        }

        // Codes of one part of the documents after the other, with the atoms brought up to date between them.
        private SparseCoder.Pass LearnRound(CancellationToken cancellationToken)
        {
            // Documents that begin as atoms have much in common with many others: a larger penalty leaves each the few that it has most in common with.
            var sparsity = _rounds == 1 ? Math.Min(2 * Sparsity, (1 + Sparsity) / 2) : Sparsity;
            if (_parts == 1)
                return Encode(LearningTolerance, sparsity, 0, _codes.Length, cancellationToken);
            var (objective, residuals) = (0d, new double[_codes.Length]);
            _update.Begin(_rows, _codes);
            for (var part = 0; part < _parts; part++)
            {
                var (first, end) = ((int)((long)_codes.Length * part / _parts), (int)((long)_codes.Length * (part + 1) / _parts));
                var before = _codes[first..end];
                var pass = Encode(LearningTolerance, sparsity, first, end - first, cancellationToken);
                objective += pass.Objective * (end - first);
                pass.ResidualEnergies.CopyTo(residuals, first);
                if (part == _parts - 1)
                    break;
                _update.Change(_rows, first, before, pass.Codes);
                _update.Sweep(_atoms);
            }

            return new(_codes, objective / _codes.Length, 0, 0, residuals);
        }

        private void UpdateAtoms()
        {
            _update.Begin(_rows, _codes);
            _update.Sweep(_atoms);
            _update.Sweep(_atoms);
        }

        // Products in float32, as the rows and the atoms are: off by some 1e-7, which is what a code can be kept to.
        private SparseCoder.Pass Encode(double tolerance, double sparsity, int first, int count, CancellationToken cancellationToken)
        {
            using var atoms = Atoms();
            var options = new SparseCodingOptions { Sparsity = sparsity, Codes = _options.Codes, Tolerance = tolerance };
            var pass = SparseCoder.Run(_rows, first, count, atoms, _energies[first..(first + count)], _codes[first..(first + count)], options, ScalarType.Float32, null, cancellationToken);
            pass.Codes.CopyTo(_codes, first);
            return pass;
        }

        /// <summary>Documents drawn without repetition; those without a gradient are passed over.</summary>
        private float[] FirstAtoms()
        {
            using var scope = NewDisposeScope();
            var order = Enumerable.Range(0, _codes.Length).ToArray();
            RandomStream.Integers(_options.Seed, FormattableString.Invariant($"dictionary/start/{_start}")).Shuffle(order);
            var drawn = order.Where(document => _energies[document] > 1e-12).Take(_options.AtomCount).ToArray();
            if (drawn.Length < _options.AtomCount)
                throw DictionaryException.TooManyAtoms(_options.AtomCount, drawn.Length);
            var chosen = _rows.ReadRows(drawn).to(ScalarType.Float32);
            return MemoryMarshal.Cast<byte, float>(nn.functional.normalize(chosen, dim: 1).cpu().contiguous().bytes).ToArray();
        }

        /// <summary>Gives atoms without documents the direction that the worst explained documents still lack.</summary>
        private int Reseed(SparseCoder.Pass pass)
        {
            var used = new bool[_options.AtomCount];
            foreach (var row in _codes)
            {
                foreach (var atom in row.Atoms)
                    used[atom] = true;
            }

            var dead = Enumerable.Range(0, _options.AtomCount).Where(atom => !used[atom]).ToArray();
            var worst = Enumerable.Range(0, _codes.Length).OrderByDescending(document => pass.ResidualEnergies[document]).Take(dead.Length).ToArray();
            for (var i = 0; i < worst.Length; i++)
            {
                using var scope = NewDisposeScope();
                var row = _rows.ReadBlock(worst[i], 1).to(ScalarType.Float32).cpu().contiguous();
                var residual = MemoryMarshal.Cast<byte, float>(row.bytes).ToArray();
                var codes = _codes[worst[i]];
                for (var entry = 0; entry < codes.Atoms.Length; entry++)
                    Spans.AddScaled(residual, _atoms.AsSpan(codes.Atoms[entry] * _size, _size), -(float)codes.Values[entry]);
                var norm = MathF.Sqrt(Spans.Dot<float>(residual, residual));
                if (norm < 1e-6f)
                    continue;
                var atom = _atoms.AsSpan(dead[i] * _size, _size);
                atom.Clear();
                Spans.AddScaled(atom, residual, 1 / norm);
            }

            _reseeded += dead.Length;
            return dead.Length;
        }

        /// <summary>Finds the penalty that gives the stated non-zeros a document for the present atoms; leaves it in <see cref="Sparsity"/>.</summary>
        private void SearchSparsity(double tolerance, CancellationToken cancellationToken)
        {
            // Non-zeros fall about with the square of the penalty: a step by the square root, kept inside the bracket.
            var (low, high) = (0d, double.PositiveInfinity);
            var nonzeros = 0d;
            for (var trial = 0; trial < 40; trial++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                nonzeros = Encode(LearningTolerance, Sparsity, 0, _codes.Length, cancellationToken).MeanNonzeros;
                if (Math.Abs(nonzeros - _options.TargetNonzeros) <= tolerance)
                    return;
                if (nonzeros > _options.TargetNonzeros)
                    low = Sparsity;
                else
                    high = Sparsity;
                if (high / low < 1 + 1e-6)
                    return; // A jump: so many codes leave together that the target lies between.
                if (low == 0 && trial > 10)
                    Sparsity /= 4; // Near the largest number of codes there is, shrinking by the square root creeps.
                var next = Sparsity * Math.Clamp(Math.Sqrt(nonzeros / _options.TargetNonzeros), 0.3, 3);
                Sparsity = next > low && next < high ? next : double.IsInfinity(high) ? low * 2 : Math.Sqrt(Math.Max(low, high / 16) * high);
                if (Sparsity < SmallestSparsity)
                    break;
            }

            if (low == 0)
                throw DictionaryException.TargetOutOfReach(_options.TargetNonzeros, nonzeros);
        }
    }
}
