namespace GradientAtoms.Tests.Reference;

/// <summary>The lasso by cyclic coordinate descent over all atoms, residual and all, in doubles: slow and obvious.</summary>
internal static class PlainLasso
{
    /// <summary>argmin over a of ½‖x − a D‖² + α‖a‖₁.</summary>
    public static double[] Solve(double[] row, double[][] atoms, double sparsity, bool nonnegative, int sweeps = 5000)
    {
        var codes = new double[atoms.Length];
        var residual = (double[])row.Clone();
        for (var sweep = 0; sweep < sweeps; sweep++)
        {
            var largest = 0d;
            for (var k = 0; k < atoms.Length; k++)
            {
                var (product, norm) = (0d, 0d);
                for (var i = 0; i < row.Length; i++)
                {
                    product += atoms[k][i] * (residual[i] + (codes[k] * atoms[k][i]));
                    norm += atoms[k][i] * atoms[k][i];
                }

                var code = Math.Max(0, Math.Abs(product) - sparsity) * Math.Sign(product) / norm;
                if (nonnegative)
                    code = Math.Max(0, code);
                for (var i = 0; i < row.Length; i++)
                    residual[i] += (codes[k] - code) * atoms[k][i];
                largest = Math.Max(largest, Math.Abs(code - codes[k]));
                codes[k] = code;
            }

            if (largest < 1e-13)
                break;
        }

        return codes;
    }

    /// <summary>½‖x − a D‖² + α‖a‖₁.</summary>
    public static double Objective(double[] row, double[][] atoms, double[] codes, double sparsity)
    {
        var energy = 0d;
        for (var i = 0; i < row.Length; i++)
        {
            var difference = row[i];
            for (var k = 0; k < atoms.Length; k++)
                difference -= codes[k] * atoms[k][i];
            energy += difference * difference;
        }

        return (0.5 * energy) + (sparsity * codes.Sum(Math.Abs));
    }
}
