namespace GradientAtoms.DictionaryLearning;

/// <summary>Small symmetric systems: Gram matrices of the few atoms of a document.</summary>
internal static class Cholesky
{
    private const double Ridge = 1e-10; // relative to atoms of norm 1; keeps dependent atoms from dividing by zero

    /// <summary>Solves (matrix + ridge) x = right in place.</summary>
    /// <param name="matrix"><c>[n, n]</c>; only the lower triangle is read, and overwritten by its factor.</param>
    /// <param name="right"><c>[n]</c>, overwritten by x.</param>
    public static void Solve(double[,] matrix, double[] right)
    {
        var size = right.Length;
        for (var i = 0; i < size; i++)
        {
            matrix[i, i] += Ridge;
            for (var j = 0; j <= i; j++)
            {
                var sum = matrix[i, j];
                for (var k = 0; k < j; k++)
                    sum -= matrix[i, k] * matrix[j, k];
                matrix[i, j] = i == j ? Math.Sqrt(Math.Max(sum, 0.1 * Ridge)) : sum / matrix[j, j];
            }
        }

        for (var i = 0; i < size; i++)
        {
            for (var k = 0; k < i; k++)
                right[i] -= matrix[i, k] * right[k];
            right[i] /= matrix[i, i];
        }

        for (var i = size - 1; i >= 0; i--)
        {
            for (var k = i + 1; k < size; k++)
                right[i] -= matrix[k, i] * right[k];
            right[i] /= matrix[i, i];
        }
    }
}
