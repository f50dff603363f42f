using System.Runtime.InteropServices;

namespace GradientAtoms.DictionaryLearning;

/// <summary>The codes of one document: atoms ascending, no zeros.</summary>
internal sealed record RowCodes(int[] Atoms, double[] Values)
{
    public static readonly RowCodes None = new([], []);
}

/// <summary>What a document's codes achieve.</summary>
/// <param name="Objective">½‖x − a D‖² + α‖a‖₁.</param>
/// <param name="Gap">Objective minus a feasible dual value: the objective is at most this far from optimal.</param>
/// <param name="ResidualEnergy">‖x − a D‖².</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct RowResult(double Objective, double Gap, double ResidualEnergy);

/// <summary>
/// One document's lasso, min over a of ½‖x − a D‖² + α‖a‖₁, by coordinate descent on the atoms' Gram matrix. The residual's
/// products with all atoms are kept up to date, so an unused atom costs nothing until its product exceeds α: with few codes a
/// document this is a few hundred times less work than proximal gradients over all K, and it ends in the exact active set.
/// Holds buffers: one instance a thread.
/// </summary>
internal sealed class RowLasso(double[] gram, int atomCount, double sparsity, CodeSigns signs, double tolerance, int maxSweeps)
{
    private const int Patience = 30;

    private readonly double[] _codes = new double[atomCount];
    private readonly double[] _correlations = new double[atomCount]; // (x − a D)·d_k
    private readonly bool[] _isActive = new bool[atomCount];
    private readonly List<int> _active = [];

    /// <summary>Solves for one document.</summary>
    /// <param name="products"><c>[K]</c>: x·d_k.</param>
    /// <param name="energy">‖x‖².</param>
    /// <param name="start">Codes to begin from.</param>
    /// <param name="result">What the codes achieve.</param>
    public RowCodes Solve(ReadOnlySpan<double> products, double energy, RowCodes start, out RowResult result)
    {
        Array.Clear(_codes);
        Array.Clear(_isActive);
        _active.Clear();
        products.CopyTo(_correlations);
        for (var entry = 0; entry < start.Atoms.Length; entry++)
        {
            var atom = start.Atoms[entry];
            _codes[atom] = start.Values[entry];
            Spans.AddScaled(_correlations, GramRow(atom), -start.Values[entry]);
            Activate(atom);
        }

        if (!Descend())
            FollowActiveSet();

        _active.Sort();
        var used = 0;
        foreach (var atom in _active)
            used += _codes[atom] != 0 ? 1 : 0;
        var codes = new RowCodes(new int[used], new double[used]);
        used = 0;
        foreach (var atom in _active)
        {
            if (_codes[atom] != 0)
                (codes.Atoms[used], codes.Values[used++]) = (atom, _codes[atom]);
        }

        result = Measure(products, energy, codes);
        return codes;
    }

    private ReadOnlySpan<double> GramRow(int atom) => gram.AsSpan(atom * atomCount, atomCount);

    private void Activate(int atom)
    {
        if (!_isActive[atom])
        {
            _isActive[atom] = true;
            _active.Add(atom);
        }
    }

    /// <summary>Minimises over each active code in turn.</summary>
    /// <returns>The largest change.</returns>
    private double Sweep()
    {
        var largest = 0d;
        foreach (var atom in _active)
            largest = Math.Max(largest, Minimise(atom));
        return largest;
    }

    /// <summary>Minimises over one code.</summary>
    /// <returns>Its change.</returns>
    private double Minimise(int atom)
    {
        var curvature = gram[(atom * atomCount) + atom];
        var target = _correlations[atom] + (curvature * _codes[atom]);
        var code = curvature > 0 ? Shrink(target) / curvature : 0;
        var change = code - _codes[atom];
        if (change == 0)
            return 0;
        _codes[atom] = code;
        Spans.AddScaled(_correlations, GramRow(atom), -change);
        return Math.Abs(change);
    }

    /// <summary>Coordinate descent.</summary>
    /// <returns>False where it creeps, as it does among nearly parallel atoms.</returns>
    private bool Descend()
    {
        var sweeps = 0;
        do
        {
            var settled = false;
            for (var patience = 0; patience < Patience && !settled && sweeps < maxSweeps; patience++, sweeps++)
                settled = Sweep() <= tolerance;
            if (!settled)
                return false;
        }
        while (ActivateViolators());
        return true;
    }

    /// <summary>
    /// The search by signs of Lee, Battle, Raina and Ng (2007): to the exact minimum for the signs in use, then one atom more, the
    /// one that violates most, until none does. Each step lowers the objective, so no set of signs comes twice.
    /// </summary>
    private void FollowActiveSet()
    {
        for (var steps = 0; steps < maxSweeps; steps++)
        {
            if (!StepToOrthantMinimum())
                continue;
            var (worst, violation) = (-1, tolerance);
            for (var atom = 0; atom < atomCount; atom++)
            {
                if (_codes[atom] == 0 && Violation(atom) > violation)
                    (worst, violation) = (atom, Violation(atom));
            }

            if (worst < 0)
                return;
            Activate(worst);
            Minimise(worst);
        }
    }

    /// <summary>While signs stay, the objective is a quadratic of the codes in use: goes to its minimum, or to the first code that turns zero.</summary>
    /// <returns>Whether the minimum was reached.</returns>
    private bool StepToOrthantMinimum()
    {
        var used = _active.Where(atom => _codes[atom] != 0).ToArray();
        var factor = new double[used.Length, used.Length];
        var step = new double[used.Length];
        for (var i = 0; i < used.Length; i++)
        {
            step[i] = _correlations[used[i]] - (sparsity * Math.Sign(_codes[used[i]]));
            for (var j = 0; j <= i; j++)
                factor[i, j] = gram[(used[i] * atomCount) + used[j]];
        }

        // Among dependent atoms the step is long in a direction that leaves the fit alone, and ends where a code is zero.
        Cholesky.Solve(factor, step);
        var (length, blocking) = (1d, -1);
        for (var i = 0; i < used.Length; i++)
        {
            var code = _codes[used[i]];
            if ((code + step[i]) * code <= 0 && -code / step[i] < length)
                (length, blocking) = (-code / step[i], i);
        }

        for (var i = 0; i < used.Length; i++)
        {
            var change = i == blocking ? -_codes[used[i]] : length * step[i];
            _codes[used[i]] = i == blocking ? 0 : _codes[used[i]] + change;
            Spans.AddScaled(_correlations, GramRow(used[i]), -change);
        }

        return blocking < 0;
    }

    /// <summary>Takes in the worst of the atoms that would lower the objective.</summary>
    private bool ActivateViolators()
    {
        // Taking in only those near the worst keeps the active set small; the others often stop violating once it is in.
        var worst = 0d;
        for (var atom = 0; atom < atomCount; atom++)
        {
            if (!_isActive[atom])
                worst = Math.Max(worst, Violation(atom));
        }

        if (worst <= tolerance)
            return false;
        for (var atom = 0; atom < atomCount; atom++)
        {
            if (!_isActive[atom] && Violation(atom) >= 0.7 * worst)
                Activate(atom);
        }

        return true;
    }

    private double Violation(int atom) =>
        (signs == CodeSigns.Nonnegative ? _correlations[atom] : Math.Abs(_correlations[atom])) - sparsity;

    private double Shrink(double value) => value > sparsity
        ? value - sparsity
        : value < -sparsity && signs == CodeSigns.Signed ? value + sparsity : 0;

    private RowResult Measure(ReadOnlySpan<double> products, double energy, RowCodes codes)
    {
        var (explained, residualWithFit, norm) = (0d, 0d, 0d);
        for (var entry = 0; entry < codes.Atoms.Length; entry++)
        {
            var (atom, code) = (codes.Atoms[entry], codes.Values[entry]);
            explained += code * products[atom];
            residualWithFit += code * _correlations[atom];
            norm += Math.Abs(code);
        }

        // r = x − a D: ‖r‖² = ‖x‖² − a·b − a·c with b = D x, c = D r, and x·r = ‖x‖² − a·b.
        var residual = Math.Max(0, energy - explained - residualWithFit);
        var objective = (0.5 * residual) + (sparsity * norm);
        var largest = 0d;
        for (var atom = 0; atom < atomCount; atom++)
            largest = Math.Max(largest, signs == CodeSigns.Nonnegative ? _correlations[atom] : Math.Abs(_correlations[atom]));

        // The residual, scaled until no atom's product exceeds α, is feasible in the dual: ½‖x‖² − ½‖x − s r‖².
        var scale = largest > sparsity ? sparsity / largest : 1;
        var dual = (scale * (energy - explained)) - (0.5 * scale * scale * residual);
        return new(objective, Math.Max(0, objective - dual), residual);
    }
}
